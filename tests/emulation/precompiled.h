// Compiled once, and included first, with what most of the compiler's time goes to.
#include "bindings.h"
