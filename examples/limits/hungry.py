"""Takes memory until it is stopped."""

import time

print("hungry")
time.sleep(0.2)
eaten = []
while True:
    eaten.append(bytearray(4 << 20))
