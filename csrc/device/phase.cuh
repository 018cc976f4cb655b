// The phase view of a high map. A quad is the 2x2 pixels above one low pixel; phase (dy, dx) is its
// pixel (2Y + dy, 2X + dx). The planes hold the pixels of one parity along each axis, and have
// the low map's resolution. A tap reads the pixel at an offset v, -p <= v <= p + 1, from the quad's
// first one: that of plane v & 1, shifted by v >> 1 quads.
#pragma once

namespace octconv::phase {

constexpr int plane(int offset) { return offset & 1; }
constexpr int shift(int offset) { return offset >> 1; }

// The offset from the quad's first pixel that tap r of k = 2p + 1 has in phase d.
constexpr int offset(int d, int tap, int p) { return d + tap - p; }

// The first tap that reads a plane in phase d; each second one does.
constexpr int first_tap(int d, int plane_of, int p) { return (plane_of + d + p) & 1; }

// The smallest shift within a plane; there are p + 1.
constexpr int first_shift(int plane_of, int p) { return shift(((p + plane_of) & 1) - p); }

// Rows of zeros that two images one below the other must have between them in each plane: as many
// as the longest reach into it, from above or from below.
constexpr int separators(int p) { return (p + 1) / 2; }

}  // namespace octconv::phase
