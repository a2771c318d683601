"""What is made from the table of commands: schemas in Core Lightning's manner, pages, and manual pages."""
