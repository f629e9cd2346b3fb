/* The built-in flow of operations that a person calls at a console. */
#pragma once
#include "bindings/vm/vm.h"
#include <jansson.h>

#define MT_CONSOLE_FLOW "console"

/* For mt_vm_options.entries. */
extern const struct mt_vm_entry mt_console_entries[];
/* Its input: operation, by, session, params (masked, for people), exact (the JSON of values, a secret). New
 * reference. */
json_t *mt_console_schema(void);
