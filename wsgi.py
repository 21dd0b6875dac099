"""What gunicorn and `flask` serve."""

from booking_app import create_app

app = create_app()
