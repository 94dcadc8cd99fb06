"""What a user of your service might send."""


def area(width, height=1):
    print("computing")  # is not mixed with the result
    return width * height


def fails():
    return {}["missing"]


def loops():
    while True:
        pass


def spies():
    return open("/etc/shadow").read()


def eats():
    return len(bytearray(1 << 40))
