/* timeline_page.h -- the HTML file around the data of timeline.h. */
#ifndef SHOAL_SIM_TIMELINE_PAGE_H
#define SHOAL_SIM_TIMELINE_PAGE_H

#include <jansson.h>
#include <stdbool.h>

/* `title` needs no escaping. False, with errno, when the file cannot be written. */
bool timeline_page(const char *path, const char *title, const json_t *data);

#endif
