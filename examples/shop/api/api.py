"""The shop's API: POST /orders takes one, GET /orders/N gives it back, GET /health tells whether all is there."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg2
import redis

with open("/run/secrets/db_password") as file:
    PASSWORD = file.read().strip()
CACHE = redis.Redis(host=os.environ["CACHE_HOST"])


def query(text: str, *values: object) -> list[tuple]:
    connection = psycopg2.connect(
        host=os.environ["DB_HOST"], user="postgres", dbname="shop", password=PASSWORD
    )
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(text, values)
            return cursor.fetchall()
    finally:
        connection.close()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/health":
            query("SELECT 1")
            CACHE.ping()
            self.answer(200, {"shop": os.environ["SHOP"]})
            return
        number = self.path.rpartition("/")[2]
        found = CACHE.get(f"order:{number}")
        if found is not None:
            self.answer(200, {**json.loads(found), "from": "cache"})
            return
        rows = query("SELECT item, amount FROM orders WHERE id = %s", int(number))
        if not rows:
            self.answer(404, {"error": "no such order"})
            return
        order = {"item": rows[0][0], "amount": rows[0][1]}
        CACHE.set(f"order:{number}", json.dumps(order))
        self.answer(200, {**order, "from": "database"})

    def do_POST(self) -> None:
        order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        insert = "INSERT INTO orders (item, amount) VALUES (%s, %s) RETURNING id"
        ((number,),) = query(insert, order["item"], order["amount"])
        self.answer(201, {"id": number})

    def answer(self, status: int, document: dict) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


ThreadingHTTPServer(("", 8000), Handler).serve_forever()
