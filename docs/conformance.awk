# Makes docs/CONFORMANCE.md of what `cargo test --test conformance` prints: a row a test, a column an engine.
# Run by `make conformance`. A test that is not there for an engine has no cell.
BEGIN {
    split("uring epoll threads pool glommio", engines, " ")
    count = 5
}
$1 == "cannot" && split($2, part, "::") == 3 { unable[part[1] "::" part[3], part[2]] = 1 }
$1 == "test" && split($2, part, "::") == 3 && part[2] != "rings" {
    key = part[1] "::" part[3]
    if (!(key in seen)) {
        seen[key] = 1
        if (!(part[1] in rows)) subjects[++last] = part[1]
        rows[part[1]] = rows[part[1]] " " part[3]
    }
    for (e = 1; e <= count; e++)
        if (part[2] == engines[e]) cell[key, part[2]] = $NF == "ok" ? "yes" : "NO"
}
END {
    print "# Conformance: one suite, every engine"
    print ""
    print "What `crates/service/tests/conformance` asks of each engine, over real sockets on loopback, and what the last run of"
    print "`make conformance` found. Each test is written once and takes the engine; it passes with the same expectation or it does not"
    print "pass. *no*: the engine says of itself that it cannot (`shard::engine::Engine`), and the test holds it to that, a refusal at the"
    print "start included. *NO*: the test failed."
    for (s = 1; s <= last; s++) {
        print ""
        print "## " subjects[s]
        print ""
        line = "| what must be true |"; rule = "|---|"
        for (e = 1; e <= count; e++) { line = line " " engines[e] " |"; rule = rule "---|" }
        print line
        print rule
        n = split(rows[subjects[s]], names, " ")
        for (i = 1; i <= n; i++) {
            text = names[i]; gsub("_", " ", text)
            line = "| " text " |"
            for (e = 1; e <= count; e++) {
                c = cell[subjects[s] "::" names[i], engines[e]]
                if (c == "yes" && unable[subjects[s] "::" names[i], engines[e]]) c = "no"
                line = line " " c " |"
            }
            print line
        }
    }
}
