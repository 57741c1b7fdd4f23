/* code.h -- the exit codes of the program, in `shoal --help` and the README; stop.h has
 * STOP_CODE_AT_ONCE too. */
#ifndef SHOAL_BASE_CODE_H
#define SHOAL_BASE_CODE_H

#define CODE_ERROR   1
#define CODE_USAGE   2 /* the command line or the experiment asks for something that cannot be */
#define CODE_STOPPED 3 /* by a signal before the end, with everything saved */
/* The last checkpoint could not be written: what was learned since is lost. */
#define CODE_UNSAVED 4

#endif
