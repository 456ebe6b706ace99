"""What everything stands on: errors, types, settings, the console, processes and files. It knows no stage."""
