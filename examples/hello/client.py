"""Fetches the page from the service `web` every few seconds and prints it."""

import time
import urllib.request

while True:
    with urllib.request.urlopen("http://web:8000/", timeout=5) as answer:
        print(answer.read().decode().strip())
    time.sleep(5)
