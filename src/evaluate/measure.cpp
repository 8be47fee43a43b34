#include "evaluate/measure.h"
#include <utility>

namespace hebm::evaluate {
namespace {

template <std::size_t... kScore> results::Scores measure_each(const ScoreInput& input, std::index_sequence<kScore...>) {
  return {{measure<kScore>(input)...}};  // in this order on every rank
}

}  // namespace

results::Score ScoreInput::on_root(const std::function<results::Score()>& local) const {
  results::Score out;
  comm::agree(comm, [&] {
    if (comm.is_root()) out = local();
  });
  return out;
}

results::Scores measure_all(const ScoreInput& input) {
  return measure_each(input, std::make_index_sequence<results::kScores.size()>());
}

}  // namespace hebm::evaluate
