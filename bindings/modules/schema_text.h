/* What the types of a schema that are texts take. Pure; any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

bool schema_email(const char *s, size_t len);
bool schema_url(const char *s, size_t len);
bool schema_date(const char *s);     /* "2027-01-31" */
bool schema_time(const char *s);     /* "2027-01-31T09:00:00Z" */
bool schema_zone(const char *s);     /* "Asia/Seoul" */
bool schema_duration(const char *s); /* "1h30m" */

/* time.c's, as flow.date and Time:plus read them. */
bool mt_time_is_local(const char *s);  /* "2027-01-31", "2027-01-31T09:00" */
bool mt_time_is_period(const char *s); /* "month", "2 weeks" */
