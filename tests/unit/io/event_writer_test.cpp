#include "io/event_writer.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/checksum.h"
#include "io/event_record.h"
#include "support/paths.h"
#include "unit/io/io_test_support.h"

namespace morex::io {
namespace {
namespace fs = std::filesystem;
using test::raw;

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

// Steps of all records of all files, file by file; the first record of each file has step 0.
std::vector<int64_t> steps_in(const fs::path& folder) {
  std::vector<int64_t> steps;
  for (const fs::path& file : files_in(folder)) {
    const std::string content = test::read_file(file);
    for (const EventRecord& record : split_records(content)) steps.push_back(record.step);
  }
  return steps;
}

TEST(EventRecord, checksum_of_the_known_vector) {
  const std::string_view digits = "123456789";
  EXPECT_EQ(crc32c(std::as_bytes(std::span(digits.data(), digits.size()))), 0xE3069283u);
}

TEST(EventRecord, messages_are_the_protocol_buffers_of_tensorboard) {
  EXPECT_EQ(encode_file_version(1.5), "\x09" + raw(1.5) +
                                          "\x1a\x0d"
                                          "brain.Event:2");
  EXPECT_EQ(encode_scalar(1.5, 300, "loss", 2.5f),
            "\x09" + raw(1.5) + "\x10\xAC\x02" + "\x2a\x0d" + "\x0a\x0b" + "\x0a\x04loss" + "\x15" + raw(2.5f));
  const std::string record = frame_record("abc");
  EXPECT_EQ(record.size(), 8u + 4 + 3 + 4);
  EXPECT_EQ(record.substr(0, 8), raw<uint64_t>(3));
  const std::string length = raw<uint64_t>(3);
  const uint32_t crc = crc32c(std::as_bytes(std::span(length.data(), length.size())));
  EXPECT_EQ(record.substr(8, 4), raw<uint32_t>(((crc >> 15) | (crc << 17)) + 0xa282ead8u));
}

TEST(EventRecord, two_records_take_88_bytes) {
  const std::string content = frame_record(encode_file_version(0)) + frame_record(encode_scalar(0, 1, "loss", 1.0f));
  EXPECT_EQ(split_records(content).size(), 2u);
  EXPECT_EQ(split_records(content)[1].step, 1);
}

TEST(EventRecord, damage_ends_the_list) {
  const std::string first = frame_record(encode_scalar(0, 1, "a", 1));
  const std::string second = frame_record(encode_scalar(0, 2, "a", 1));
  for (size_t cut = 0; cut < second.size(); ++cut) EXPECT_EQ(split_records(first + second.substr(0, cut)).size(), 1u);
  for (size_t at = 0; at < second.size(); ++at) {
    std::string damaged = second;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    EXPECT_EQ(split_records(first + damaged).size(), 1u) << at;
  }
}

TEST(EventWriter, first_record_is_the_version_and_steps_follow) {
  const fs::path folder = test::scratch_dir("events") / "new";
  EventWriter writer(folder, 0);
  writer.scalar(1, "loss", 2.0f);
  writer.scalar(1, "grad_norm", 3.0f);
  writer.flush();
  const std::vector<fs::path> files = files_in(folder);
  ASSERT_EQ(files.size(), 1u);
  EXPECT_TRUE(files[0].filename().string().starts_with("events.out.tfevents."));
  const std::string content = test::read_file(files[0]);
  EXPECT_NE(content.find("brain.Event:2"), std::string::npos);
  EXPECT_EQ(steps_in(folder), (std::vector<int64_t>{0, 1, 1}));
}

TEST(EventWriter, a_resume_leaves_each_step_once) {
  const fs::path folder = test::scratch_dir("events_resume");
  {
    EventWriter writer(folder, 0);
    for (int64_t step = 1; step <= 5; ++step) writer.scalar(step, "loss", 1.0f);
  }
  const fs::path first = files_in(folder)[0];
  test::write_file(first, test::read_file(first) + "torn");
  EventWriter writer(folder, 4);
  writer.scalar(4, "loss", 1.0f);
  writer.flush();
  EXPECT_EQ(files_in(folder).size(), 2u);
  EXPECT_EQ(files_in(folder)[0], first);  // the new file comes last by name
  EXPECT_EQ(steps_in(folder), (std::vector<int64_t>{0, 1, 2, 3, 0, 4}));
}

TEST(EventWriter, a_new_start_leaves_older_files_alone) {
  const fs::path folder = test::scratch_dir("events_again");
  for (int run = 0; run < 3; ++run) EventWriter(folder, 0).scalar(7, "loss", 1.0f);
  EXPECT_EQ(steps_in(folder), (std::vector<int64_t>{0, 7, 0, 7, 0, 7}));
}

}  // namespace
}  // namespace morex::io
