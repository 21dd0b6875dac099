"""What gunicorn and `flask` serve."""

import click

from booking_app import create_app

app = create_app(has_commands=click.get_current_context(silent=True) is not None)
