"""Which changes concern which rule of develop.watch, and what follows."""

from composer.watch_rules import Rule, react


def _rule(**data: object) -> Rule:
    return Rule(
        "web", {"path": "/src", "action": "sync", "target": "/app", **data}, "/src", ["*.log", "!keep.log"]
    )


def test_concerns() -> None:
    rule = _rule(ignore=["node_modules/"], include=["*.js", "**/*.js"])
    assert rule.concerns("/src/a.js") and rule.concerns("/src/deep/b.js") and rule.concerns("/src")
    for path in ("/src/a.py", "/srcs/a.js", "/src/node_modules/a.js", "/src/.git/a.js", "/src/.a.js.swp"):
        assert not rule.concerns(path)
    plain = _rule()
    assert not plain.concerns("/src/x.log") and plain.concerns("/src/keep.log")
    assert not plain.concerns("/src/.git/HEAD") and not plain.concerns("/src/4913")


def test_skips() -> None:
    rule = Rule("web", {"path": "/src", "action": "sync", "ignore": ["cache"]})
    assert rule.skips("/src/cache") and rule.skips("/other") and rule.skips("/src/.git")
    assert not rule.skips("/src") and not rule.skips("/src/a")
    assert not _rule(ignore=["cache", "!cache/keep"]).skips("/src/cache")


def test_react() -> None:
    rules = [
        _rule(),
        Rule("web", {"path": "/src/conf", "action": "sync+restart", "target": "/etc/app.conf"}),
        Rule("db", {"path": "/src/schema", "action": "rebuild"}),
        Rule("db", {"path": "/src/schema", "action": "sync", "target": "/x"}),
    ]
    assert not react(rules, ["/elsewhere"])
    reaction = react(rules, ["/src/a/b"])
    assert reaction.files == {"web": {"/app/a/b": "/src/a/b"}} and not reaction.restart
    reaction = react(rules, ["/src/conf", "/src/schema/1"])
    assert reaction.files["web"]["/etc/app.conf"] == "/src/conf"
    assert reaction.restart == ("web",) and reaction.rebuild == ("db",) and "db" not in reaction.files
