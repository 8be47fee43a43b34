// `sweep plan`: every command of every member as its own --dry-run checks it, in this process,
// before anything runs.
#pragma once
#include "sweep/plan.h"

namespace hebm::cli {

// The plan lies in `layout`, which is temporary; messages name `target` instead. Error(kUsage)
// naming each member that would be refused, and why; also where the disk would not hold what a
// command writes.
void check_plan(const sweep::Layout& layout, const std::filesystem::path& target, const sweep::Plan& plan);

}  // namespace hebm::cli
