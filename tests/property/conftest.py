import pytest_socket
from hypothesis import settings

# The same examples in every run of CI; `--hypothesis-profile=default` looks for new ones.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.load_profile("ci")


def pytest_runtest_setup():
    pytest_socket.disable_socket()


def pytest_runtest_teardown():
    pytest_socket.enable_socket()
