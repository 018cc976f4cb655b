// What the CUDA runtime says when it is asked about a kernel.
#pragma once

#include <optional>

namespace octconv {

// None if it could not be asked: that may be otherwise the next time, as behind a graph's capture.
using Answer = std::optional<bool>;

}  // namespace octconv
