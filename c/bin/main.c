#include <stdio.h>

int main(void)
{
    fprintf(stderr, "shoal: no subcommand yet\n");
    return 1;
}
