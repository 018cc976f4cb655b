// Which kernels serve a call of an operator on CUDA.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>

#include "check/check.h"
#include "cuda/device.h"
#include "plan/cache.h"
#include "plan/coverage.h"
#include "plan/trials.h"
#include "problem.h"

namespace octconv {

// The plan of what the kernels cover, or why the composition must serve.
template <typename Plan, typename PlanSm90>
struct ChoiceOf {
  std::optional<Plan> plan;
  std::string reason;
  std::optional<PlanSm90> sm90 = {};  // in place of the other plan
  bool of_pooled = false;             // the plan is that of the pooled input

  bool covered() const { return plan || sm90; }
};

// As JSON: the kernel and its plan, or why there is none. What a plan predicts is as on a device
// that is known, the nearest one.
template <typename Choice>
std::string explain(const Choice& choice, const Tensor& like) {
  std::string kernel;
  if (choice.sm90) {
    kernel = to_string(*choice.sm90);
  } else if (choice.plan) {
    const DeviceFacts& facts = device_of(like.get_device_index()).facts;
    kernel = to_string(*choice.plan) + ", as on " + facts.name;
  }
  const std::string first = choice.covered() && choice.of_pooled ? "pool2x2, " : "";
  return R"({"kernel": ")" + first + kernel + R"(", "reason": ")" + choice.reason + R"("})";
}

inline std::optional<ElementType> element_type(ScalarType dtype, bool allow_tf32) {
  if (dtype == ScalarType::BFloat16) return ElementType::kBFloat16;
  if (dtype == ScalarType::Half) return ElementType::kFloat16;
  if (dtype == ScalarType::Float && allow_tf32) return ElementType::kTFloat32;
  return std::nullopt;
}

// Why no kernel serves a call with operands like a tensor, of an element type, if it is one of
// `types`; empty if one may.
inline std::string why_not_served(const Tensor& like, const Problem& problem, int64_t kernel_width,
                                  std::optional<ElementType> type, const char* types) {
  if (!type) return dtype_text(like.scalar_type()) + ", and kernels for " + types;
  if (const char* reason = why_not_covered(problem, kernel_width)) return reason;
  return device_of(like.get_device_index()).why_no_kernels;
}

// The family of kernels that must serve a call: the argument's, else the environment's; empty: any.
inline std::string family_of(const char* op, const std::string& argument) {
  const char* variable = std::getenv("OCTCONV_CUDA_FAMILY");
  const std::string family = !argument.empty() || !variable ? argument : variable;
  if (!family.empty() && family != "none" && family != "sm80" && family != "sm90") {
    fail(op, "the family (the argument, or OCTCONV_CUDA_FAMILY) must be none, sm80 or sm90, got ",
         family);
  }
  return family;
}

// What the environment asks for of what has not run on a GPU yet.
inline Trials asked_trials(const char* op) {
  const char* variable = std::getenv("OCTCONV_CUDA_TRIAL");
  if (!variable) return kTryNone;
  const std::optional<Trials> trials = trials_of(variable);
  if (!trials) {
    fail(op, "OCTCONV_CUDA_TRIAL must be 1 or some of ", trial_names(), ", got ", variable);
  }
  return *trials;
}

// Raises where the argument names `family` and that does not cover the call.
inline void check_covered(const char* op, const std::string& argument, bool covered,
                          const std::string& reason, const char* family = "sm80") {
  if (argument == family && !covered) {
    fail(op, "family ", family, " must serve this call, and does not cover it: ", reason);
  }
}

}  // namespace octconv
