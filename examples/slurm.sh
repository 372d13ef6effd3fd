#!/bin/bash
# Eight processes on two machines, started by srun: sbatch slurm.sh
# The machines share the directory of --model_dir. Submit it again, and training resumes at the last checkpoint.
#SBATCH --job-name=digits
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue

srun --kill-on-bad-exit=1 python multi_worker.py --model_dir "$PWD/models/digits"
