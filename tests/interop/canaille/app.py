"""Canaille with one person and one client, in memory: ``python -I app.py PORT``, in Canaille's own environment."""

from __future__ import annotations

import datetime as dt
import secrets
import sys

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from werkzeug.serving import make_server

port = int(sys.argv[1])
app = create_app(
    {
        "SECRET_KEY": secrets.token_urlsafe(32),
        "SERVER_NAME": f"127.0.0.1:{port}",
        "PREFERRED_URL_SCHEME": "http",
        "CANAILLE": {"DATABASE": "memory", "SMTP": None},
    }
)
with app.app_context(), app.backend.session():
    ada = models.User(
        user_name="ada",
        formatted_name="Ada Customer",
        family_name="Customer",
        emails=["ada@shop.example"],
        password="known-to-this-test-alone",
    )
    Backend.instance.save(ada)
    client = models.Client(
        client_id="https://shop.example",  # what Canaille puts into `aud` is client ids and nothing else
        client_secret="known-to-this-test-alone",
        client_name="Shop",
        client_uri="http://127.0.0.1/",  # of a trusted domain: nobody is asked for consent
        client_id_issued_at=dt.datetime.now(dt.UTC),
        redirect_uris=["https://shop.example/callback"],
        grant_types=["authorization_code", "refresh_token", "client_credentials"],
        response_types=["code"],
        scope=["openid", "profile", "email"],
        token_endpoint_auth_method="client_secret_basic",
    )
    Backend.instance.save(client)
    client.audience = [client]
    Backend.instance.save(client)
make_server("127.0.0.1", port, app, threaded=True).serve_forever()
