"""Rewrites programs that use `tf.estimator`, for torchest: `torchest migrate FILE`; see docs/migrating.md.

names        what takes the place of a name of TensorFlow
calls        how arguments of calls change
references   where a program uses names of TensorFlow
generation   whether it was written for TensorFlow 1 or 2
statements, iterators, serving, opened
             statements that go, or have another form
imports      the import statements
program      all of it, for the text of one program
files        programs in files and folders
report       what was done, line by line
"""
