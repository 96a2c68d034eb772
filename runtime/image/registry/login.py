"""`login`: prove a user and a password to a registry, then keep them."""

import os

from runtime.errors import EngineError
from runtime.image.registry.auth import AccessDenied, Authenticator
from runtime.image.registry.credentials import Credentials, store_credentials
from runtime.image.registry.endpoints import find_endpoints
from runtime.image.registry.transport import Transport


def log_in(registry: str, username: str, password: str) -> str:
    """Where the password was kept. Raises EngineError if the registry refuses it or can't be reached."""
    endpoint = find_endpoints(registry, "login", os.environ)[-1]
    transport = Transport(endpoint)
    credentials = Credentials(username, password)
    auth = Authenticator(transport, credentials)
    try:
        response = transport.request("GET", "/v2/")
        if response.status == 401 and auth.challenged(response.headers.get("WWW-Authenticate", "")):
            response = transport.request("GET", "/v2/", headers={"Authorization": auth.header(())})
    except AccessDenied as error:
        raise AccessDenied(f"{registry} refuses user {username} or the password") from error
    finally:
        transport.close()
    if response.status in (401, 403):
        raise AccessDenied(f"{registry} refuses user {username} or the password")
    if response.status != 200:
        raise EngineError(f"{endpoint.host} answered {response.status}: is it a registry?")
    return store_credentials(registry, credentials)
