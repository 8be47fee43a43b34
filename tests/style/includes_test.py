#!/usr/bin/env python3
"""includes.py sees every kind of violation, and accepts what is allowed."""
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import includes

BAD = (
    ('src/base/a.cpp', '#include "storage/files.h"', 'base/ may not include storage/files.h'),
    ('src/comm/a.cpp', '#include "storage/files.h"', 'comm/ may not include'),
    ('src/storage/a.h', '#pragma once\n#include "data/dataset.h"', 'a.h:2: storage/ may not include'),
    ('src/data/a.cpp', '#include "comm/communicator.h"', 'data/ may not include'),
    ('src/nets/a.cpp', '#include "vae/hvae.h"', 'nets/ may not include'),
    ('src/vae/a.cpp', '#include "prior/schedule.h"', 'vae/ may not include'),
    ('src/prior/a.cpp', '#include "train/x.h"', 'prior/ may not include'),
    ('src/prior/a.cpp', '#include "comm/communicator.h"', 'prior/ may not include'),
    ('src/train/a.cpp', '#include "sample/x.h"', 'train/ may not include'),
    ('src/encode/a.cpp', '#include "train/x.h"', 'encode/ may not include'),
    ('src/sample/a.cpp', '#include "evaluate/x.h"', 'sample/ may not include'),
    ('src/evaluate/a.cpp', '#include "sample/x.h"', 'evaluate/ may not include'),
    ('src/report/a.cpp', '#include "data/x.h"', 'report/ may not include'),
    ('src/sweep/a.cpp', '#include "report/x.h"', 'sweep/ may not include'),
    ('data_tools/a.cpp', '#include "vae/x.h"', 'data_tools/ may not include'),
    ('src/train/a.cpp', '#include "cli/x.h"', 'train/ may not include'),
    ('src/train/a.cu', '#include "cli/x.h"', 'train/ may not include'),
    ('src/base/a.cpp', '  #  include <storage/files.h>', 'base/ may not include'),
    ('src/base/a.cpp', '/* x */ #include "storage/files.h"', 'base/ may not include'),
    ('src/base/a.cpp', '#include "error.h"', 'does not start with a module'),
    ('src/base/a.cpp', '#include "../storage/files.h"', 'leaves its folder'),
    ('src/base/a.cpp', '#include "base/../storage/files.h"', 'leaves its folder'),
    ('src/base/a.cpp', '#include HEADER', 'must name its file'),
    ('src/unknown/a.cpp', '', 'not in the table'),
    ('src/a.cpp', '', 'not in the table'),
    ('src/train/a.cpp', '#include <mpi.h>', 'belongs to comm/ alone'),
    ('src/cli/a.cpp', '#include <nccl.h>', 'belongs to comm/ alone'),
    ('src/data/a.cpp', '#include <hdf5.h>', 'belongs to storage/ alone'),
    ('data_tools/a.cpp', '#include <H5Fpublic.h>', 'belongs to storage/ alone'),
    ('src/storage/a.cpp', '#include <ATen/core/Tensor.h>', 'may not include torch'),
    ('src/comm/a.cpp', '#include <c10/cuda/CUDAStream.h>', 'may not include torch'),
    ('src/report/a.cpp', '#include <torch/torch.h>', 'may not include torch'),
    ('data_tools/a.cpp', '#include <torch/torch.h>', 'may not include torch'),
    ('src/vae/a.h', '#pragma once\n#include <torch/torch.h>', 'a header may not include'),
    ('src/sample/a.cpp', '#include <torch/torch.h>', 'belongs to sources of'),
    ('src/vae/a.cpp', '#include <torch/script.h>', 'reads code from files'),
    ('src/vae/a.cpp', '#include <torch/csrc/jit/serialization/import.h>', 'reads code from files'),
    ('src/vae/a.cpp', 'int a;\nauto m = torch::jit::load(path);', 'a.cpp:2: jit::load runs code'),
    ('src/vae/a.cpp', 'torch::load(m, path);', 'torch::load runs code'),
    ('src/vae/a.cpp', 'auto v = torch::Pickle_load(data);', 'pickle runs code'),
    ('src/base/a.h', '#pragma once\nusing namespace std;', 'using namespace'),
    ('src/base/a.h', 'int a;', '#pragma once'),
    ('src/base/a.h', '// #pragma once\nint a;', '#pragma once'),
    ('src/vae/a.cpp', 'const char* t = R"x(" // )x"; torch::load(m);', 'torch::load runs code'),
    ('src/vae/a.cpp', 'int n = 1\'000; char c = \'"\'; torch::load(m);', 'torch::load runs code'),
    ('src/vae/a.cpp', 'const char* t = "\\\\"; torch::load(m);', 'torch::load runs code'),
)
GOOD = (
    ('src/base/a.cpp', '#include "base/error.h"\n#include <vector>'),
    ('src/comm/a.cpp', '#include <mpi.h>\n#include <nccl.h>\n#include "base/error.h"'),
    ('src/storage/a.cpp', '#include <hdf5.h>\n#include "storage/hdf5.h"'),
    ('src/data/a.cpp', '#include "storage/hdf5.h"'),
    ('src/prior/a.h', '#pragma once\n#include <ATen/core/Tensor.h>\n#include "vae/backbone.h"'),
    ('src/prior/a.cpp', '#include <torch/torch.h>'),
    ('src/evaluate/a.cpp', '#include <torch/csrc/autograd/autograd.h>\n#include "prior/schedule.h"'),
    ('src/cli/a.cpp', '#include "train/x.h"\n#include "report/x.h"\n#include "comm/communicator.h"'),
    ('data_tools/a.cpp', '#include "idx.h"\n#include "data/dataset.h"'),
    ('src/base/a.cpp', '// #include "storage/files.h"\n/*\n#include "train/x.h"\npickle */ using namespace std;'),
    ('src/base/a.cpp', 'const char* t = "never torch::load, no pickle"; // torch::load'),
    ('src/base/a.h', '#pragma once\n// using namespace std;\n'),
)


class Includes(unittest.TestCase):
    def setUp(self):
        tour = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/tour.md")
        with open(tour, encoding="utf-8") as file:
            self.table = includes.read_table(file.read())

    def test_the_table_is_read(self):
        self.assertEqual(self.table["data"], {"base", "storage"})
        self.assertNotIn("train", self.table["evaluate"])
        self.assertNotIn("sample", self.table["evaluate"])
        self.assertIn("report", self.table["cli"])

    def test_violations_are_seen(self):
        for path, text, problem in BAD:
            found = includes.violations(path, text, self.table)
            self.assertEqual(len(found), 1, (path, text, found))
            self.assertIn(problem, found[0])

    def test_what_is_allowed_passes(self):
        for path, text in GOOD:
            self.assertEqual(includes.violations(path, text, self.table), [])


if __name__ == "__main__":
    unittest.main()
