"""What the commands of bin/ and libexec/ have in common: import it, run the commands."""
