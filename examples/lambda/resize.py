"""A handler."""


def handler(event, context):
    if context.get_remaining_time_in_millis() <= 0:
        raise TimeoutError("no time left")
    scale = min(1, event["width"] / event["image"]["width"])
    return {"width": round(event["image"]["width"] * scale), "height": round(event["image"]["height"] * scale),
            "by": context.function_name}
