"""What runners and kernels ask of the store: `desk` answers, `asked` checks what a call gives."""
