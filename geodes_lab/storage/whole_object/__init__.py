"""One whole object on its way to this machine: it goes on where it stopped, and ends when the person says so."""
