#include "evaluate/experiment.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "vae/inputs.h"

namespace hebm::evaluate {

std::vector<std::int64_t> split_members(const data::Dataset& dataset, data::Split split, std::int64_t first,
                                        std::int64_t count) {
  const auto& members = dataset.members(split);
  const auto size = static_cast<std::int64_t>(members.size());
  check(size > 0, ExitCode::kUsage, "{}: the data set has no {} images", dataset.path().string(),
        split == data::Split::kTrain ? "training" : "test");
  std::vector<std::int64_t> out;
  for (std::int64_t b = first; b < first + count; ++b) out.push_back(members[static_cast<std::size_t>(b % size)]);
  return out;
}

at::Tensor split_images(const data::Dataset& dataset, data::Split split, std::int64_t first, std::int64_t count,
                        at::Device device) {
  return vae::image_tensor(dataset.read(split_members(dataset, split, first, count))).to(device);
}

void for_chunks(std::int64_t n, std::int64_t chunk, const MakeNumbers& make, const TakeNumbers& take,
                comm::Communicator& comm, Logger& logger, const std::string& what) {
  const std::int64_t num_chunks = (n + chunk - 1) / chunk, ranks = comm.size();
  StatusLine status(logger, what, n);
  for (std::int64_t done = 0; done < num_chunks; done += ranks) {
    std::string mine;
    comm::agree(comm, [&] {
      const std::int64_t c = done + comm.rank();
      if (c >= num_chunks) return;
      const at::Tensor numbers = make(c * chunk).contiguous();
      check(numbers.is_cpu() && numbers.scalar_type() == at::kFloat, ExitCode::kRuntime,
            "{}: a chunk's numbers are no float32 on the host", what);
      mine.assign(reinterpret_cast<const char*>(numbers.const_data_ptr<float>()), numbers.nbytes());
    });
    const auto all = comm.all_gather(mine);
    comm::agree(comm, [&] {
      for (std::int64_t r = 0; r < std::min(ranks, num_chunks - done); ++r) {
        const std::string& bytes = all[static_cast<std::size_t>(r)];
        at::Tensor numbers = at::empty({static_cast<std::int64_t>(bytes.size() / sizeof(float))}, at::kFloat);
        std::memcpy(numbers.mutable_data_ptr<float>(), bytes.data(), bytes.size());
        take((done + r) * chunk, numbers);
      }
    });
    status.update(std::min(n, (done + ranks) * chunk));
  }
  status.finish();
}

}  // namespace hebm::evaluate
