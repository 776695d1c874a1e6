"""What is written is true: the manual, the README, the pages of docs/, with the commands in them."""
