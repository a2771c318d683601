"""What tests are made of, by what each file makes; tests import from here, never from each other."""
