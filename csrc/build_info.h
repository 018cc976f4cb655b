// What this library was built with and for.
#pragma once

namespace octconv {

// The compute capabilities that its kernels are compiled for, such as "8.0;9.0a"; empty without.
const char* built_archs();

}  // namespace octconv
