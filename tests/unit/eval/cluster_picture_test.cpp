// The plane of most variance, and the picture in it.
#include "eval/cluster_picture.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "eval/principal_plane.h"
#include "support/golden_tensors.h"

namespace morex::test {
namespace {

at::Tensor filler(double t, at::IntArrayRef shape) {
  return at::sin(at::arange(c10::multiply_integers(shape), at::kDouble).square() * 0.731 + t).view(shape);
}

TEST(PrincipalPlane, Its_directions_are_orthonormal_and_show_the_most_variance) {
  const at::Tensor points = filler(0.3, {50, 6}) * at::tensor({5.0, 0.2, 0.3, 3.0, 0.1, 0.2}, at::kDouble);
  const eval::PrincipalPlane plane = eval::principal_plane(points);
  EXPECT_TRUE(near(at::mm(plane.directions, plane.directions.t()), at::eye(2, at::kDouble), 1e-12));
  const at::Tensor shown = eval::project(plane, points);
  EXPECT_TRUE(near(shown.mean(0), at::zeros({2}), 1e-12));
  const double all = (points - points.mean(0)).square().sum().item<double>();
  EXPECT_NEAR(plane.share, shown.square().sum().item<double>() / all, 1e-12);
  for (int64_t i = 0; i < 6; ++i)
    for (int64_t j = i + 1; j < 6; ++j) {
      const at::Tensor centred = points - points.mean(0);
      const double pair = (centred.select(1, i).square().sum() + centred.select(1, j).square().sum()).item<double>();
      EXPECT_LE(pair / all, plane.share + 1e-12);
    }
}

TEST(PrincipalPlane, Fewer_points_than_axes_are_no_trouble) {
  const eval::PrincipalPlane one = eval::principal_plane(filler(0.3, {1, 4}));
  EXPECT_EQ(one.share, 0.0);
  EXPECT_TRUE(near(eval::project(one, filler(0.3, {1, 4})), at::zeros({1, 2}), 1e-12));
  EXPECT_NEAR(eval::principal_plane(filler(0.3, {2, 4})).share, 1.0, 1e-12);
}

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++found;
  return found;
}

TEST(ClusterPicture, Shows_every_prompt_and_every_cluster) {
  const at::Tensor points = filler(0.2, {12, 5});
  eval::ClusterSet set;
  set.centroids = points.slice(0, 0, 4).to(at::kFloat);
  set.sizes = {5, 4, 3, 0};
  set.silhouettes = {0.5, 0.25, 0.0, 0.0};
  set.nearest = {{"a"}, {"<b> & \"c\""}, {std::string(300, 'x')}, {}};
  std::vector<int64_t> assignment;
  std::vector<std::string> texts;
  for (int64_t i = 0; i < 12; ++i) {
    assignment.push_back(i < 5 ? 0 : i < 9 ? 1 : 2);
    texts.push_back(i == 3 ? "<script>\n&\x01" : i == 4 ? "\xff" : "prompt é " + std::to_string(i));
  }
  const std::string svg = eval::cluster_picture(set, points, assignment, texts);
  EXPECT_TRUE(svg.starts_with("<svg xmlns="));
  EXPECT_TRUE(svg.ends_with("</svg>\n"));
  EXPECT_EQ(count(svg, "<title>cluster "), 12U);
  EXPECT_EQ(count(svg, "<circle"), 3U) << "an empty cluster has no place";
  EXPECT_NE(svg.find("12 prompts in 4 clusters"), std::string::npos);
  EXPECT_NE(svg.find("silhouette 0.29"), std::string::npos);
  EXPECT_NE(svg.find("&lt;script&gt; &amp; </title>"), std::string::npos);
  EXPECT_NE(svg.find("\xEF\xBF\xBD"), std::string::npos);
  EXPECT_NE(svg.find("&lt;b&gt; &amp; &quot;c&quot;"), std::string::npos);
  EXPECT_NE(svg.find(std::string(46, 'x') + "…</text>"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  for (const char* tag : {"g", "text", "title"})
    EXPECT_EQ(count(svg, std::string("<") + tag + ">") + count(svg, std::string("<") + tag + " "),
              count(svg, std::string("</") + tag + ">"));
}

TEST(ClusterPicture, All_prompts_in_one_place_are_no_trouble) {
  eval::ClusterSet set;
  set.centroids = at::zeros({1, 3}, at::kFloat);
  set.sizes = {2};
  set.silhouettes = {0.0};
  const std::string svg = eval::cluster_picture(set, at::zeros({2, 3}), {0, 0}, {"a", "b"});
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
}

}  // namespace
}  // namespace morex::test
