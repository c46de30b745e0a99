"""What is remembered of jobs, in SQLite on one machine or in PostgreSQL for many: jobs, units, leases, schedules."""
