/* For tests only: makes the SQLite store's disk full. */
#pragma once
#include "store/store.h"
#include <stdint.h>

/* The database may not grow beyond what it has now plus `more` pages; a negative number takes the limit away.
 * The writer's thread (or before there is one). */
void mt_store_sqlite_limit_pages(struct mt_store *store, int64_t more);
