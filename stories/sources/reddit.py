class RedditSource:
    kind = "reddit"

    def __init__(self, **_):
        pass
