#!/bin/bash
# Workers for a SLURM cluster: each takes one GPU, works until no run has anything to do, and ends.
#
#   sbatch --export=ALL,HERO_HOME=/shared/hero,HERO_DATABASE_URL=postgresql+psycopg://... deploy/slurm.sh
#
# `hero serve` runs elsewhere, all the time, with the same variables. Submit this again for the next
# batch, by hand or by `scrontab`.
#SBATCH --job-name=hero-worker
#SBATCH --array=0-3
#SBATCH --gpus=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=32G
#SBATCH --time=08:00:00
#SBATCH --signal=B:TERM@60

set -eu
: "${HERO_HOME:?is the folder that all machines share}"
: "${HERO_DATABASE_URL:?is the address of the PostgreSQL}"
: "${LABEL_STUDIO_URL:?is the address of the Label Studio}"
: "${LABEL_STUDIO_API_KEY:?is the token for it}"
# The batch shell gets the signal that the time is over, and passes it on.
hero worker --only generating,learning --until-idle &
trap 'kill -TERM $!' TERM
wait $!
