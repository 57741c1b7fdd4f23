/* page.h -- the files embedded in every report, linked into the program: style, script, and
 * dygraphs with its license. */
#ifndef SHOAL_FLEET_PAGE_H
#define SHOAL_FLEET_PAGE_H

#include "base/bytes.h"

struct bytes page_style(void);    /* report.css */
struct bytes page_script(void);   /* report.js */
struct bytes page_dygraphs(void); /* dygraph.min.js, without the name of its source map */
struct bytes page_dygraphs_style(void);
struct bytes page_dygraphs_license(void);

#endif
