/* The quick way through JSON text, for json.c alone. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* A new reference, or NULL: it is for jansson to read it, or to say what is wrong with it. */
json_t *json_read(const char *text, size_t len);
