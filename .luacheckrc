std = "lua54"
max_line_length = 110
files["flows"] = { std = "lua54" }
files["tests/spec"] = { std = "+busted" }
files["bindings/types"] = { ignore = { "2..", "1..", "4..", "5..", "6.." } }
exclude_files = { "build*", "tests/browser/node_modules" }
