/* code.h -- the exit codes of the program, as in `shoal --help` and the README; stop.h adds
 * STOP_CODE_AT_ONCE. */
#ifndef SHOAL_BASE_CODE_H
#define SHOAL_BASE_CODE_H

#define CODE_ERROR   1
#define CODE_USAGE   2 /* the command line or the experiment asks for something impossible */
#define CODE_STOPPED 3 /* stopped by a signal before the end, with everything saved */
/* The last checkpoint could not be written: later progress is lost. */
#define CODE_UNSAVED 4

#endif
