// results/hierarchy.json of `hierarchy` (docs/formats.md): what each latent layer of a backbone
// carries. Layers top first; numbers are means over the test images.
#pragma once
#include <string>
#include <vector>
#include "results/scores.h"

namespace hebm::results {

struct HierarchyLayer {
  Count layer, channels, side;
  double kl = kUnknown, kl_share = kUnknown;  // nats an image; of all layers' KL
  double variance = kUnknown;                 // of u_0
  double probe_accuracy = kUnknown;           // label of u_0 of this layer alone; unknown without labels
  // This layer of another image, the others kept: share whose class changed; distance of the
  // features over that between the two reconstructions.
  double class_changed = kUnknown, feature_distance = kUnknown;
  // This layer and those above kept, those below from N(0, I): share whose class changed. Not of
  // the last layer.
  double below_drawn_class_changed = kUnknown;
  static void fields(auto& s, auto& visit) {
    visit("layer", s.layer, "channels", s.channels, "side", s.side, "kl", s.kl, "kl_share", s.kl_share, "variance",
        s.variance, "probe_accuracy", s.probe_accuracy, "class_changed", s.class_changed, "feature_distance",
        s.feature_distance);
    visit.known("below_drawn_class_changed", s.below_drawn_class_changed);
  }
};

struct Hierarchy {
  Count num_images, probe_images;  // test images; training images of the probe
  std::vector<HierarchyLayer> layers;
  double fd_gaussian = kUnknown, fd_reconstruction = kUnknown, reconstruction_of_gaussian = kUnknown;
  Classifier features;
  double seconds = kUnknown;
  static void fields(auto& s, auto& visit) {
    visit("num_images", s.num_images, "probe_images", s.probe_images, "layers", s.layers, "fd_gaussian", s.fd_gaussian,
        "fd_reconstruction", s.fd_reconstruction, "reconstruction_of_gaussian", s.reconstruction_of_gaussian,
        "features", s.features, "seconds", s.seconds);
  }
};

std::string text_of(const Hierarchy& result);

}  // namespace hebm::results
