// JSON that files carry: within bounds it is written as what is read back; attributes of a data set
// and the parts of a manifest are made of it.
#include "storage/json.h"
#include "data/attributes.h"
#include "harness.h"
#include "storage/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(hebm::fuzz::text_of(data, size));
  hebm::fuzz::judge([&] { hebm::data::parse_attributes(text, 10, "input"); });
  return hebm::fuzz::judge([&] {
    const nlohmann::json json = hebm::storage::parse_json(text, "input");
    if (hebm::storage::parse_json(hebm::storage::json_text(json), "again") != json) std::abort();
    hebm::storage::parts_from_json(json, "input");
  });
}
