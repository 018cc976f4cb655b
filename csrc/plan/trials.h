// What has run in the emulation alone, each off until a GPU has shown it right and faster. Plain
// C++.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>

namespace octconv {

using Trials = uint32_t;  // a bit for each that may serve
enum Trial : Trials {
  kTrySplits = 1 << 0,     // blocks of a cluster share the channels of a tile
  kTrySharers = 1 << 1,    // two blocks of a cluster share the copies of a 1x1 weight
  kTryOverlaps = 1 << 2,   // launches begin while those before them end
  kTryLate = 1 << 3,       // blocks take high tiles when they have done their low ones
  kTryLinear = 1 << 4,     // tiles of 28x4 quads, and for these what kTryRegisters does
  kTryNarrow = 1 << 5,     // low tiles of 32 columns beside high ones of 64
  kTryRegisters = 1 << 6,  // a chunk of the high input through registers, and pooled ahead
  kTrySmall = 1 << 7,  // boxes of fewer quads in 1x1 layers, which more blocks share out, or evenly
};

constexpr Trials kTryNone = 0, kTryClusters = kTrySplits | kTrySharers;

struct TrialName {
  Trial trial;
  std::string_view name;
};
constexpr TrialName kTrialNames[] = {
    {kTrySplits, "splits"},       {kTrySharers, "sharers"}, {kTryOverlaps, "overlaps"},
    {kTryLate, "late"},           {kTryLinear, "linear"},   {kTryNarrow, "narrow"},
    {kTryRegisters, "registers"}, {kTrySmall, "small"},
};

constexpr Trials kTryAll = [] {
  Trials all = kTryNone;
  for (const TrialName& known : kTrialNames) all |= known.trial;
  return all;
}();

// All names, with commas between them.
inline std::string trial_names() {
  std::string text;
  for (const auto& [trial, name] : kTrialNames) text.append(text.empty() ? "" : ",").append(name);
  return text;
}

// Of "1" all, of nothing or "0" none, else those of the names with commas between them; none if
// there is no such name.
inline std::optional<Trials> trials_of(std::string_view text) {
  if (text.empty() || text == "0") return kTryNone;
  if (text == "1") return kTryAll;
  Trials trials = kTryNone;
  for (size_t begin = 0, end = 0; end != text.npos; begin = end + 1) {
    end = text.find(',', begin);
    const std::string_view asked = text.substr(begin, end - begin);
    const auto found = std::find_if(std::begin(kTrialNames), std::end(kTrialNames),
                                    [&](const TrialName& known) { return known.name == asked; });
    if (found == std::end(kTrialNames)) return std::nullopt;
    trials |= found->trial;
  }
  return trials;
}

}  // namespace octconv
