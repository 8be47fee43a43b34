// The pixels of a file of `sample`, RUN/samples/*.h5.
#pragma once
#include "storage/hdf5.h"

namespace hebm::data {

// Reads all of them. Error(kCorrupt) with expected and got where they do not have the file's
// images_hash; a file from before it was there passes.
void verify_samples(const storage::H5File& file);

}  // namespace hebm::data
