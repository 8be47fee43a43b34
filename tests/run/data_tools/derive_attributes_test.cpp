// hebm_data derive-attributes: attributes that follow from labels and pixels, beside the same
// images.
#include <nlohmann/json.hpp>
#include "data/attributes.h"
#include "data/dataset.h"
#include "program.h"

namespace hebm::data_tools::test {
namespace {

class DeriveAttributes : public DataTools {
 protected:
  DeriveAttributes() : from_(folder_ / "from.h5") {
    const std::string images = put("i", idx_images(7, 8, 8)), labels = put("l", idx_labels(7));
    EXPECT_EQ(run({"import-idx", "--images", images, "--labels", labels, "--test-images", images, "--test-labels",
                      labels, "--label-names", "a,b,c", "--pad", "0", "--out", from_})
                  .code,
        0);
  }
  Outcome derive(std::vector<std::string> more = {}) const {
    std::vector<std::string> args = {"derive-attributes", "--from", from_, "--out", out()};
    args.insert(args.end(), more.begin(), more.end());
    return run(args);
  }
  std::string from_;
};

TEST_F(DeriveAttributes, ImagesStayAndMeasuresSplitAtTheTrainingImagesMedian) {
  const Outcome outcome = derive();
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const data::Dataset before = data::Dataset::open(from_), after = data::Dataset::open(out());
  after.verify();
  EXPECT_EQ(after.images_hash(), before.images_hash()) << "a latent cache goes on being valid";
  EXPECT_EQ(after.labels(), before.labels());
  EXPECT_EQ(after.source(), before.source());
  EXPECT_EQ(after.members(data::Split::kTest), before.members(data::Split::kTest));
  ASSERT_EQ(after.attributes().size(), 3u) << "no groups of labels that are not known";
  for (std::size_t a = 0; a < 3; ++a) {
    const data::Attribute& attribute = after.attributes()[a];
    EXPECT_EQ(attribute.name, name_of(attribute.measure));
    const auto values = after.attribute_values(a);
    std::vector<double> of_train;
    for (std::int64_t i = 0; i < after.size(); ++i) {
      const ImageBatch image = after.read({&i, 1});
      const double value = data::measured(attribute.measure, after.shape(), image.pixels);
      EXPECT_EQ(values[static_cast<std::size_t>(i)], value > attribute.threshold ? 1 : 0)
          << attribute.name << " of image " << i;
      if (i < 7) of_train.push_back(value);
    }
    std::sort(of_train.begin(), of_train.end());
    EXPECT_EQ(attribute.threshold, of_train[3]);
  }
  EXPECT_NE(derive().out.find("already holds"), std::string::npos);
  EXPECT_EQ(derive({"--groups", "all=a,b,c"}).code, 2);
}

TEST_F(DeriveAttributes, GroupsAreOfLabels) {
  ASSERT_EQ(derive({"--groups", "x=b;rest=a,c"}).code, 0);
  const data::Dataset set = data::Dataset::open(out());
  const data::Attribute& group = set.attributes()[0];
  EXPECT_EQ(group.name, "group");
  EXPECT_EQ(group.categories, (std::vector<std::string>{"x", "rest"}));
  EXPECT_EQ(group.of_label, (std::vector<std::int64_t>{1, 0, 1}));
  const auto values = set.attribute_values(0);
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], set.labels()[i] == 1 ? 0 : 1) << i;
  const Outcome inspect = run({"inspect", out(), "--json"});
  const auto json = nlohmann::json::parse(inspect.out);
  ASSERT_EQ(json["attributes"].size(), 4u);
  EXPECT_EQ(json["attributes"][0]["train"][0], (nlohmann::json{{"category", "x"}, {"images", 2}}));
  EXPECT_EQ(json["attributes"][2]["threshold"], set.attributes()[2].threshold);
  EXPECT_NE(run({"inspect", out()}).out.find("attribute group  x 2  rest 5"), std::string::npos);
}

TEST_F(DeriveAttributes, FashionMnistHasItsGroups) {
  const std::string fashion = folder_ / "fashion.h5";
  ASSERT_EQ(run({"import-idx", "--fashion-mnist", "/usr/share/datasets/fashion-mnist", "--limit", "200", "--limit-test",
                    "20", "--out", fashion})
                .code,
      0);
  ASSERT_EQ(run({"derive-attributes", "--from", fashion, "--out", out()}).code, 0);
  const data::Dataset set = data::Dataset::open(out());
  ASSERT_EQ(set.attributes().size(), 4u);
  EXPECT_EQ(set.attributes()[0].categories, (std::vector<std::string>{"top", "trousers", "dress", "shoes", "bag"}));
  EXPECT_EQ(set.attributes()[0].of_label, (std::vector<std::int64_t>{0, 1, 0, 2, 0, 3, 0, 3, 4, 3}));
  for (std::size_t a = 1; a < 4; ++a) {
    std::int64_t above = 0;
    const auto values = set.attribute_values(a);
    for (const auto i : set.members(data::Split::kTrain)) above += values[static_cast<std::size_t>(i)];
    EXPECT_EQ(above, 100) << set.attributes()[a].name << ": half of the training images";
  }
}

TEST_F(DeriveAttributes, BadInputIsNamed) {
  expect_refused(run({"derive-attributes", "--out", out()}), 2, {"--from"});
  expect_refused(run({"derive-attributes", "--from", from_}), 2, {"--out"});
  expect_refused(derive({"--groups", "x=b"}), 2, {"'a' is in no group"});
  expect_refused(derive({"--groups", "x=b;y=b,a,c"}), 2, {"'b' is in two groups"});
  expect_refused(derive({"--groups", "x=d"}), 2, {"no label 'd'", "a, b, c"});
  expect_refused(derive({"--groups", "b"}), 2, {"NAME=LABEL"});
  put("text.h5", "not HDF5 at all");
  expect_refused(run({"derive-attributes", "--from", folder_ / "text.h5", "--out", out()}), 4, {"text.h5"});
}

}  // namespace
}  // namespace hebm::data_tools::test
