std = "lua54"
max_line_length = 110
files["flows"] = { std = "lua54" }
files["tests/spec"] = { std = "+busted", max_line_length = 132 }
files["tests/flows"] = { std = "+busted", max_line_length = 132 }
files["bindings/program/worlds"] = { max_line_length = 132 }
files["bindings/program/new"] = { std = "+busted", max_line_length = 132 }
files["tests/crash"] = { std = "+busted", max_line_length = 132 }
files["tests/bench/post.lua"] = { globals = { "wrk", "setup", "request", "done", "number" } }
files["bindings/types"] = { ignore = { "2..", "1..", "4..", "5..", "6.." } }
exclude_files = { "build*", "tests/browser/node_modules" }
