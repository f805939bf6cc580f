morex_add_test(NAME report_test LABEL unit TORCH LINK morex_report
  SOURCES unit/report/html_text_test.cpp unit/report/token_texts_test.cpp unit/report/traced_model.cpp
          unit/report/routing_trace_test.cpp unit/report/routing_page_test.cpp)
