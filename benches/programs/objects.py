# Objects, dictionaries, text and JSON; run with PYTHONMALLOC=malloc, so that each object is a request.
import json
import sys


class Item:
    def __init__(self, number):
        self.number = number
        self.name = "item-%d" % number
        self.tags = [self.name + suffix for suffix in ("a", "b", "c")]


total = 0
for turn in range(max(1, int(sys.argv[1]) // 10)):
    items = {item.name: item for item in map(Item, range(turn, turn + 6000))}
    text = json.dumps([{"name": item.name, "tags": item.tags} for item in items.values()])
    words = {}
    for word in text.replace('"', " ").split():
        words.setdefault(word, []).append(turn)
    back = json.loads(text)
    back.sort(key=lambda item: item["tags"][1][::-1])
    total += len(words) + len(back[turn]["name"]) + sum(item.number for item in items.values())
print(total)
