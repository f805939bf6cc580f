// NumPy files.
#include "io/npy.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "base/error.h"
#include "support/paths.h"

namespace morex::io {
namespace {

namespace fs = std::filesystem;

fs::path write(const std::string& header, const std::string& data, char version = 1,
               const std::string& magic = "\x93NUMPY") {
  const fs::path path = test::scratch_dir("npy") / "a.npy";
  std::ofstream out(path, std::ios::binary);
  out << magic << version << '\0';
  const auto size = static_cast<uint32_t>(header.size());
  out.write(reinterpret_cast<const char*>(&size), version == 1 ? 2 : 4);
  out << header << data;
  return path;
}

std::string floats(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), 4 * values.size()};
}

const std::string kHeader = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }          \n";

TEST(Npy, Reads_an_array_of_each_version) {
  for (const char version : {1, 2, 3}) {
    const StoredTensor tensor = read_npy(write(kHeader, floats({1, 2, 3, 4, 5, 6}), version));
    EXPECT_EQ(tensor.dtype, DType::kF32);
    EXPECT_EQ(tensor.shape, (std::vector<int64_t>{2, 3}));
    std::vector<float> values(6);
    std::memcpy(values.data(), tensor.bytes.data(), 24);
    EXPECT_EQ(values, (std::vector<float>{1, 2, 3, 4, 5, 6}));
  }
}

TEST(Npy, Keys_may_stand_in_any_order_and_shapes_may_have_one_size) {
  const StoredTensor tensor =
      read_npy(write("{'shape': (3,), 'fortran_order': False, 'descr': '<f8'}\n", std::string(24, '\0')));
  EXPECT_EQ(tensor.dtype, DType::kF64);
  EXPECT_EQ(tensor.shape, std::vector<int64_t>{3});
}

TEST(Npy, What_cannot_be_read_is_refused) {
  const std::string data = floats({1, 2, 3, 4, 5, 6});
  const auto refused = [](const fs::path& path, const char* why) {
    try {
      read_npy(path);
      FAIL() << why;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kFormat);
      EXPECT_NE(std::string(error.what()).find(why), std::string::npos) << error.what();
    }
  };
  const auto with = [](const char* from, const char* to) {
    std::string header = kHeader;
    return header.replace(header.find(from), std::strlen(from), to);
  };
  refused(write(kHeader, data, 1, "\x93NUMPX"), "its mark");
  refused(write(kHeader, data, 4), "version");
  refused(write(with("<f4", ">f4"), data), "little-endian");
  refused(write(with("<f4", "<i4"), data), "little-endian");
  refused(write(with("False", "True"), data), "C order");
  refused(write(with("(2, 3)", "(2, x)"), data), "shape");
  refused(write(with("(2, 3)", "(-2, 3)"), data), "shape");
  refused(write(kHeader, data + "x"), "as many numbers");
  refused(write(kHeader, floats({1, 2, 3})), "as many numbers");
  refused(write(with("(2, 3)", "(0, 3)"), data), "as many numbers");
  refused(write(with("(2, 3)", "(4611686018427387904, 4)"), data), "as many numbers");
  refused(write(kHeader, ""), "as many numbers");
  const fs::path cut = write(kHeader, data);
  fs::resize_file(cut, 20);
  refused(cut, "header");
  fs::resize_file(cut, 3);
  refused(cut, "its mark");
}

}  // namespace
}  // namespace morex::io
